Background, foreground and orphan.
$ kubectl create deployment kept --image=app:1 --replicas=1
$ kubectl create deployment gone --image=app:1 --replicas=1
$ kubectl create deployment last --image=app:1 --replicas=1
$ kubectl rollout status deployment kept --timeout=60s
$ kubectl rollout status deployment gone --timeout=60s
$ kubectl rollout status deployment last --timeout=60s
$ kubectl delete deployment kept --cascade=orphan
$ kubectl wait replicasets -l app=kept --for=jsonpath='{.status.readyReplicas}'=1 --timeout=60s
$ kubectl get replicasets -l app=kept -o custom-columns=OWNER:.metadata.ownerReferences[0].name,READY:.status.readyReplicas
$ kubectl delete deployment gone --cascade=foreground
$ kubectl get replicasets,pods -l app=gone
$ kubectl delete deployment last
$ kubectl wait replicasets,pods -l app=last --for=delete --timeout=60s >/dev/null
$ kubectl get replicasets,pods -l app=last
$ kubectl delete replicaset -l app=kept --cascade=sometimes
