create service, and expose.
$ kubectl create service clusterip web --tcp=80:8080
$ kubectl create service nodeport open --tcp=80:8080
$ kubectl create service externalname elsewhere --external-name=www.example.org
$ kubectl create service clusterip headless --clusterip=None
$ kubectl create service clusterip nothing
$ kubectl create deployment app --image=app:1 --replicas=0 --port=8080
$ kubectl expose deployment app --port=80 --target-port=8080
$ kubectl expose deployment app --name=app-open --type=NodePort --port=80
$ kubectl expose deployment absent --port=80
$ kubectl expose deployment app
$ kubectl get services
