create makes workloads of flags.
$ kubectl create deployment web --image=app:1 --replicas=0 --port=8080
$ kubectl create deployment two --image=app:1 --image=side:2 --replicas=0
$ kubectl create deployment shell --image=app:1 --replicas=0 -- /bin/sh -c "sleep 1"
$ kubectl create cronjob nightly --image=app:1 --schedule="0 3 1 1 *" -- /bin/date
$ kubectl create job once --image=app:1 --dry-run=client -o yaml -- /bin/date
$ kubectl create job manual --from=cronjob/nightly --dry-run=server
$ kubectl create deployment web --image=app:1
$ kubectl create deployment Web --image=app:1
$ kubectl create deployment web
$ kubectl create cronjob bad --image=app:1 --schedule="every day"
