scale with and without a precondition.
$ kubectl create deployment web --image=app:1 --replicas=1
$ kubectl rollout status deployment web --timeout=60s
$ kubectl scale deployment web --replicas=3
$ kubectl rollout status deployment web --timeout=60s
$ kubectl scale deployment web --replicas=2 --current-replicas=7
$ kubectl scale deployment web --replicas=2 --current-replicas=3
$ kubectl rollout status deployment web --timeout=60s
$ kubectl scale deployment web --replicas=-1
$ kubectl scale deployment absent --replicas=1
$ kubectl create configmap settings
$ kubectl scale configmap settings --replicas=1
$ kubectl wait deployment web --for=jsonpath='{.status.availableReplicas}'=2 --timeout=60s
$ kubectl get deployment web
