autoscale makes a HorizontalPodAutoscaler.
$ kubectl create deployment web --image=app:1 --replicas=0
$ kubectl autoscale deployment web --min=2 --max=5 --cpu-percent=80
$ kubectl autoscale deployment web --max=5
$ kubectl autoscale deployment web --min=5 --max=2 --name=wrong
$ kubectl autoscale deployment absent --max=5
$ kubectl get horizontalpodautoscaler web -o jsonpath='{.spec}'
$ kubectl get horizontalpodautoscaler
