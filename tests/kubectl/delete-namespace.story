A namespace goes with all that is in it.
$ kubectl create namespace story-going
$ kubectl create configmap a -n story-going
$ kubectl create deployment web --image=app:1 -n story-going
$ kubectl delete namespace story-going --timeout=60s
$ kubectl get namespace story-going
$ kubectl get configmaps -n story-going
$ kubectl create configmap a -n story-going
$ kubectl delete namespace kube-system
$ kubectl delete namespace default
