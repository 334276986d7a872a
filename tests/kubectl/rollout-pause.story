A paused Deployment takes changes and does not roll out.
$ kubectl create deployment web --image=app:1 --replicas=1
$ kubectl rollout status deployment web --timeout=60s
$ kubectl rollout pause deployment web
$ kubectl rollout pause deployment web
$ kubectl set image deployment web app=app:2
$ kubectl rollout undo deployment web
$ kubectl rollout restart deployment web
$ kubectl wait deployment web --for=jsonpath='{.status.observedGeneration}'=3 --timeout=60s
$ kubectl get replicasets -o custom-columns=IMAGE:.spec.template.spec.containers[0].image,REPLICAS:.spec.replicas
$ kubectl rollout resume deployment web
$ kubectl rollout resume deployment web
$ kubectl rollout status deployment web --timeout=60s
$ kubectl get replicasets --sort-by=.spec.template.spec.containers[0].image -o custom-columns=IMAGE:.spec.template.spec.containers[0].image,REPLICAS:.spec.replicas
