Mistakes on the command line and on the server.
$ kubectl get configmap a -n absent
$ kubectl create configmap a -n absent
$ kubectl get configmaps absent
$ kubectl get deployments.v9.apps
$ kubectl get --raw /apis/nothing
$ kubectl get --raw /api/v1/namespaces/errors/configmaps/absent
$ kubectl get --raw '/api/v1/namespaces/errors/configmaps?limit=x'
$ kubectl get --raw '/api/v1/namespaces/errors/configmaps?labelSelector=%3D%3D'
$ kubectl get --raw '/api/v1/namespaces/errors/configmaps?continue=nonsense'
$ kubectl get --raw '/api/v1/namespaces/errors/configmaps?resourceVersion=nonsense'
$ kubectl get --raw /healthz
$ kubectl get --raw /livez/ping
$ kubectl delete --raw /api/v1/namespaces/errors/configmaps/absent
$ kubectl logs absent
$ kubectl exec absent -- true
