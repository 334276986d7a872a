create makes ConfigMaps and Secrets of flags and files.
$ printf 'a=1\nb=2\n' > settings.env
$ printf 'hello\n' > greeting.txt
$ kubectl create configmap literals --from-literal=a=1 --from-literal=b=2
$ kubectl create configmap env --from-env-file=settings.env
$ kubectl create configmap file --from-file=greeting.txt --from-file=other=greeting.txt
$ kubectl create configmap hashed --from-literal=a=1 --append-hash
$ kubectl create secret generic password --from-literal=password=secret
$ kubectl create secret docker-registry registry --docker-server=registry.example.org --docker-username=me --docker-password=secret
$ kubectl create secret generic typed --type=example.org/kind --from-file=greeting.txt
$ kubectl create configmap twice --from-literal=a=1 --from-literal=a=2
$ kubectl create configmap literals --from-literal=a=1
$ kubectl get configmap file -o yaml
$ kubectl get secrets
$ kubectl describe secret password
$ kubectl describe configmap file
