set image, env, resources, selector, serviceaccount, subject.
$ kubectl create deployment web --image=app:1 --replicas=0
$ kubectl set image deployment/web app=app:2
$ kubectl set image deployment/web '*=app:3'
$ kubectl set image deployment/web nothing=app:2
$ kubectl set env deployment/web COLOUR=blue SIZE=3
$ kubectl set env deployment/web SIZE-
$ kubectl set env deployment/web --list
$ kubectl create configmap settings --from-literal=shape=round
$ kubectl set env deployment/web --from=configmap/settings
$ kubectl set resources deployment web --requests=cpu=100m,memory=64Mi --limits=cpu=200m
$ kubectl set resources deployment web --limits=cpu=50m
$ kubectl set serviceaccount deployment web robot
$ kubectl create service clusterip web --tcp=80
$ kubectl set selector service web app=other
$ kubectl create role reader --verb=get --resource=pods
$ kubectl create rolebinding reader --role=reader --user=jane
$ kubectl set subject rolebinding reader --user=joe --serviceaccount=set:robot
