describe tells of a Deployment, its ReplicaSet and Pods.
$ kubectl create deployment web --image=app:1 --replicas=1 --port=8080
$ kubectl rollout status deployment web --timeout=60s
$ kubectl describe deployment web
$ kubectl describe replicaset -l app=web
$ kubectl expose deployment web --port=80
$ kubectl describe service web
