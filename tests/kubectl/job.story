A Job runs to its end.
$ kubectl create job once --image=app:1 -- /bin/date
$ kubectl wait job once --for=condition=Complete --timeout=60s
$ kubectl get job once -o jsonpath='{.status.succeeded} {.status.conditions[*].type}'
$ kubectl get pods -l job-name=once --no-headers
$ kubectl describe job once | grep -v 'Time:\|At:\|Duration:'
$ kubectl create job once --image=app:1
$ kubectl delete job once
