edit writes what the editor leaves.
$ kubectl create configmap settings --from-literal=colour=blue
$ EDITOR='sed -i s/blue/red/' kubectl edit configmap settings
$ EDITOR=true kubectl edit configmap settings
$ EDITOR='sed -i s/red/green/' kubectl edit configmap settings -o json
$ EDITOR='sed -i s/name:.settings/name:\ other/' kubectl edit configmap settings
$ kubectl create deployment web --image=app:1 --replicas=0
$ EDITOR='sed -i s/replicas:.0/replicas:\ 1/' kubectl edit deployment web
$ kubectl rollout status deployment web --timeout=60s
$ EDITOR='sed -i s/app:1/app:2/' kubectl edit deployment web --subresource=status
$ kubectl get configmap settings -o jsonpath='{.data}'
$ kubectl edit configmap absent
