What has a finalizer stays, marked, until it is taken away.
$ kubectl create configmap settings --from-literal=a=1
$ kubectl patch configmap settings -p '{"metadata":{"finalizers":["example.org/hold"]}}'
$ kubectl delete configmap settings --wait=false
$ kubectl delete configmap settings --timeout=1s
$ kubectl get configmap settings -o yaml
$ kubectl patch configmap settings -p '{"metadata":{"finalizers":["example.org/hold","example.org/more"]}}'
$ kubectl patch configmap settings --type=json -p '[{"op":"remove","path":"/metadata/finalizers"}]'
$ kubectl get configmap settings
$ kubectl create configmap unqualified -o name
$ kubectl patch configmap unqualified -p '{"metadata":{"finalizers":["hold"]}}'
