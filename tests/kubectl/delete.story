delete by name, label and all; what is not there.
$ for name in a b c d e; do kubectl create configmap $name; done
$ kubectl label configmap b c app=web
$ kubectl delete configmap a
$ kubectl delete configmap a
$ kubectl delete configmap a --ignore-not-found
$ kubectl delete configmaps -l app=web
$ kubectl delete configmap/d configmap/nothing
$ kubectl delete configmap e --now
$ kubectl delete configmaps -l app=web
$ kubectl delete configmap
$ kubectl delete nothings a
$ kubectl create secret generic one && kubectl create secret generic two
$ kubectl delete secrets --all
$ kubectl get secrets
$ kubectl delete secrets --all
