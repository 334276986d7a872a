The scale and status of a workload by themselves.
$ kubectl create deployment web --image=app:1 --replicas=2
$ kubectl rollout status deployment web --timeout=60s
$ kubectl get deployment web --subresource=scale
$ kubectl get deployment web --subresource=scale -o yaml
$ kubectl get deployment web --subresource=status -o jsonpath='{.status.readyReplicas}'
$ kubectl get deployment web --subresource=nothing
