A budget, and an eviction it forbids.
$ kubectl create deployment web --image=app:1 --replicas=2
$ kubectl rollout status deployment web --timeout=60s
$ kubectl create poddisruptionbudget web --selector=app=web --min-available=2
$ kubectl wait poddisruptionbudget web --for=jsonpath='{.status.currentHealthy}'=2 --timeout=60s
$ kubectl get poddisruptionbudget web
$ kubectl describe poddisruptionbudget web
$ POD=$(kubectl get pods -o jsonpath='{.items[0].metadata.name}'); echo '{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"'$POD'"}}' | kubectl create --raw /api/v1/namespaces/disruption/pods/$POD/eviction -f -
$ kubectl patch poddisruptionbudget web --type=merge -p '{"spec":{"minAvailable":null,"maxUnavailable":"50%"}}'
$ kubectl get poddisruptionbudget web
$ kubectl create poddisruptionbudget bad --selector=app=web --min-available=1 --max-unavailable=1
