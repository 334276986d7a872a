What the server serves, by group and verb.
$ kubectl api-resources --api-group=apps
$ kubectl api-resources --api-group='' --sort-by=name
$ kubectl api-resources --api-group=batch -o wide
$ kubectl api-resources --api-group=rbac.authorization.k8s.io --namespaced=false -o name
$ kubectl api-resources --api-group=policy --verbs=list,watch -o name
$ kubectl api-resources --api-group=networking.k8s.io
$ kubectl api-resources --api-group=apiextensions.k8s.io
$ kubectl api-resources --api-group=authorization.k8s.io -o wide
$ kubectl api-resources --api-group=coordination.k8s.io -o wide
$ kubectl api-resources --api-group=nothing.example.org
$ kubectl api-versions | grep -x 'v1\|apps/v1\|batch/v1\|policy/v1\|apiextensions.k8s.io/v1\|coordination.k8s.io/v1\|events.k8s.io/v1'
