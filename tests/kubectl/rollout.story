rollout: history, undo, restart, pause and resume.
$ kubectl create deployment web --image=app:1 --replicas=2
$ kubectl rollout status deployment web --timeout=60s
$ kubectl annotate deployment web kubernetes.io/change-cause='the first'
$ kubectl set image deployment web app=app:2
$ kubectl rollout status deployment web --timeout=60s
$ kubectl annotate deployment web kubernetes.io/change-cause='the second' --overwrite
$ kubectl rollout history deployment web
$ kubectl rollout history deployment web --revision=1
$ kubectl rollout history deployment web --revision=7
$ kubectl rollout undo deployment web
$ kubectl rollout status deployment web --timeout=60s
$ kubectl rollout history deployment web
$ kubectl rollout undo deployment web --to-revision=2
$ kubectl rollout status deployment web --timeout=60s
$ kubectl rollout undo deployment web --to-revision=9
$ kubectl get deployment web -o jsonpath='{.spec.template.spec.containers[0].image}'
