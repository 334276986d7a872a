A CronJob is suspended, and a Job is made of it by hand.
$ kubectl create cronjob nightly --image=app:1 --schedule="0 3 1 1 *" -- /bin/date
$ kubectl patch cronjob nightly -p '{"spec":{"suspend":true}}'
$ kubectl create job by-hand --from=cronjob/nightly
$ kubectl wait job by-hand --for=condition=Complete --timeout=60s
$ kubectl get job by-hand -o jsonpath='{.metadata.annotations} {.metadata.ownerReferences[0].kind}'
$ kubectl get cronjob nightly
$ kubectl describe cronjob nightly
$ kubectl patch cronjob nightly -p '{"spec":{"schedule":"never"}}'
