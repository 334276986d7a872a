wait for conditions, paths, creation and deletion.
$ kubectl create deployment web --image=app:1 --replicas=1
$ kubectl wait deployment web --for=condition=Available --timeout=60s
$ kubectl wait deployment web --for=condition=available=true --timeout=60s
$ kubectl wait deployment web --for=jsonpath='{.status.readyReplicas}'=1 --timeout=60s
$ kubectl wait pods -l app=web --for=condition=Ready --timeout=60s
$ kubectl wait deployment web --for=condition=Nothing --timeout=1s
$ kubectl wait deployment absent --for=condition=Available --timeout=1s
$ kubectl wait pods -l app=nothing --for=condition=Ready --timeout=1s
$ kubectl wait deployment absent --for=delete --timeout=5s
$ kubectl wait deployment web --for=create --timeout=5s
$ kubectl wait deployment web --for=jsonpath='{.spec.nothing}' --timeout=1s
$ kubectl delete deployment web
$ kubectl wait pods -l app=web --for=delete --timeout=60s >/dev/null
