label and annotate: set, overwrite, remove, refuse.
$ kubectl create configmap settings
$ kubectl label configmap settings app=web tier=front
$ kubectl label configmap settings app=other
$ kubectl label configmap settings app=other --overwrite
$ kubectl label configmap settings tier-
$ kubectl label configmap settings nothing-
$ kubectl label configmap settings --list
$ kubectl label configmap settings app=other
$ kubectl label configmap settings 'bad key=1'
$ kubectl label configmap settings a=not/valid
$ kubectl label configmap settings a=b --resource-version=1
$ kubectl label configmap absent a=b
$ kubectl label configmaps -l app all=yes
$ kubectl annotate configmap settings note='any text' other=x
$ kubectl annotate configmap settings note=new
$ kubectl annotate configmap settings note=new --overwrite
$ kubectl annotate configmap settings other-
$ kubectl annotate configmap settings --list
$ kubectl get configmap settings --show-labels --no-headers
