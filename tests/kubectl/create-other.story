create makes the other kinds it knows.
$ kubectl create ingress web --rule="www.example.org/shop*=web:80,tls=certificate" --class=nginx
$ kubectl create ingress fallback --default-backend=web:http
$ kubectl create poddisruptionbudget web --selector=app=web --min-available=50%
$ kubectl create quota small --hard=pods=2,configmaps=10
$ kubectl create priorityclass story-create-other --value=100 --description="for a story"
$ kubectl create namespace story-create-other
$ kubectl create namespace story-create-other
$ kubectl create namespace Story_Bad
$ kubectl get ingress
$ kubectl get priorityclass story-create-other
$ kubectl get namespace story-create-other
$ kubectl describe namespace story-create-other
$ kubectl delete namespace/story-create-other priorityclass/story-create-other
