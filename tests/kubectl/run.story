run makes a Pod.
$ kubectl run web --image=app:1 --port=8080 --labels=app=web,tier=front --env=A=1
$ kubectl wait pod web --for=condition=Ready --timeout=60s
$ kubectl run once --image=app:1 --restart=Never --dry-run=client -o yaml -- echo hello
$ kubectl run web --image=app:1
$ kubectl run Bad --image=app:1
$ kubectl run none
$ kubectl run limited --image=app:1 --overrides='{"spec":{"nodeName":"node-1"}}'
$ kubectl wait pod limited --for=condition=Ready --timeout=60s
$ kubectl get pods
$ kubectl label pod web tier-
$ kubectl patch pod web -p '{"spec":{"containers":[{"name":"web","image":"app:2"}]}}'
$ kubectl patch pod web -p '{"spec":{"restartPolicy":"Never"}}'
$ kubectl delete pod limited --now
$ kubectl delete pod web --force --grace-period=0
