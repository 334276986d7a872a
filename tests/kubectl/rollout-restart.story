restart rolls a workload anew.
$ kubectl create deployment web --image=app:1 --replicas=1
$ kubectl rollout status deployment web --timeout=60s
$ kubectl rollout restart deployment web
$ kubectl rollout status deployment web --timeout=60s
$ kubectl get replicasets --no-headers --sort-by=.spec.replicas
$ kubectl rollout restart deployment absent
$ kubectl create configmap settings
$ kubectl rollout restart configmap settings
$ kubectl rollout status deployment absent
