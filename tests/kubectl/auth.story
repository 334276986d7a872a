What one may do, and who one is.
$ kubectl auth can-i create deployments
$ kubectl auth can-i '*' '*' --all-namespaces
$ kubectl auth can-i list pods --as=jane
$ kubectl create role reader --verb=get,list --resource=configmaps
$ kubectl create rolebinding jane --role=reader --user=jane
$ kubectl auth can-i list configmaps --as=jane
$ kubectl auth can-i list configmaps --as=jane -n default
$ kubectl auth can-i get /healthz --as=jane --as-group=system:authenticated
$ kubectl auth can-i fly birds --as=jane
$ kubectl get configmaps --as=jane -o name
$ kubectl get secrets --as=jane
$ kubectl create configmap mine --as=jane
$ kubectl delete configmap kube-root-ca.crt --as=jane
$ kubectl auth whoami --as=jane --as-group=developers
$ kubectl auth whoami --as=jane -o yaml
