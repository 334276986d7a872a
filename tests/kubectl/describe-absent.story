describe of what is not there, and by prefix.
$ kubectl create configmap settings-one --from-literal=a=1
$ kubectl create configmap settings-two --from-literal=a=2
$ kubectl describe configmap settings
$ kubectl describe configmap absent
$ kubectl describe configmaps -l nothing=here
$ kubectl describe nothings
