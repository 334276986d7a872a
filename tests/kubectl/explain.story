explain tells of fields.
$ kubectl explain configmap
$ kubectl explain deployment.spec.strategy
$ kubectl explain pod.spec.restartPolicy
$ kubectl explain deployment.spec.nothing
$ kubectl explain nothing
$ kubectl explain deployment.spec.strategy --recursive
$ kubectl explain service.spec.ports.port --output=plaintext-openapiv2
$ kubectl explain poddisruptionbudget.status
$ kubectl explain cronjob.spec.concurrencyPolicy --api-version=batch/v1
