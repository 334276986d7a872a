Fields that may not change, and who says so.
$ kubectl create deployment web --image=app:1 --replicas=0
$ kubectl patch deployment web --type=merge -p '{"spec":{"selector":{"matchLabels":{"app":"other"}}}}'
$ kubectl create configmap fixed --from-literal=a=1
$ kubectl patch configmap fixed -p '{"immutable":true}'
$ kubectl patch configmap fixed -p '{"data":{"a":"2"}}'
$ kubectl create service clusterip web --tcp=80
$ kubectl patch service web -p '{"spec":{"clusterIP":"10.96.200.200"}}'
$ kubectl create job once --image=app:1
$ kubectl patch job once --type=json -p '[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"app:2"}]'
$ kubectl patch configmap fixed --type=json -p '[{"op":"replace","path":"/metadata/name","value":"other"}]'
$ kubectl patch configmap fixed --type=json -p '[{"op":"replace","path":"/metadata/uid","value":"other"}]'
