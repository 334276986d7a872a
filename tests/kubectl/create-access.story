create makes roles, bindings and accounts.
$ kubectl create serviceaccount robot
$ kubectl create role reader --verb=get,list --resource=pods,deployments.apps
$ kubectl create role named --verb=get --resource=configmaps --resource-name=settings
$ kubectl create rolebinding robot --role=reader --serviceaccount=create-access:robot
$ kubectl create rolebinding people --clusterrole=view --user=jane --group=developers
$ kubectl create clusterrole story-create-access --verb=get --non-resource-url=/metrics
$ kubectl create clusterrolebinding story-create-access --clusterrole=story-create-access --user=jane
$ kubectl create role bad --verb=fly --resource=pods
$ kubectl create role bad --verb=get --resource=birds
$ kubectl create rolebinding bad --role=reader
$ kubectl get rolebindings -o wide
$ kubectl describe clusterrole story-create-access
$ kubectl delete clusterrole,clusterrolebinding story-create-access
