Labels, fields, order, chunks, all namespaces.
$ for name in d a c b; do kubectl create configmap $name --from-literal=name=$name; done
$ kubectl label configmap a b c d story=selects
$ kubectl label configmap a b tier=front
$ kubectl label configmap c tier=back
$ kubectl get configmaps -l tier=front -o name
$ kubectl get configmaps -l 'tier in (front,back)' -o name
$ kubectl get configmaps -l 'tier notin (front,back),!nothing,story' -o name
$ kubectl get configmaps -l 'tier!=front,story' -o name
$ kubectl get configmaps -l 'tier,tier!=back' -o name
$ kubectl get configmaps -l 'tier in front' -o name
$ kubectl get configmaps --field-selector metadata.name=c -o name
$ kubectl get configmaps --field-selector metadata.name!=c -l story -o name
$ kubectl get configmaps --field-selector data.name=c -o name
$ kubectl get configmaps --sort-by=.metadata.name -l story -o name
$ kubectl get configmaps --sort-by=.data.name -l story
$ kubectl get configmaps --chunk-size=2 -l story -o name
$ kubectl get configmaps -A -l story=selects,tier
$ kubectl get configmaps -A -l story=selects,tier --no-headers -o custom-columns=NS:.metadata.namespace,N:.metadata.name
