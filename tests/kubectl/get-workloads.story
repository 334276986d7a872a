Tables of a Deployment, its ReplicaSet and its Pods.
$ kubectl create deployment web --image=app:1 --replicas=2
$ kubectl rollout status deployment web --timeout=60s
$ kubectl get deployments
$ kubectl get deployments -o wide
$ kubectl get replicasets -o wide
$ kubectl get pods
$ kubectl get pods --show-labels --no-headers
$ kubectl get pods -o custom-columns=PHASE:.status.phase,QOS:.status.qosClass,OWNER:.metadata.ownerReferences[0].kind,POLICY:.spec.restartPolicy
$ kubectl get pods --field-selector status.phase=Running --no-headers
$ kubectl get pods --field-selector status.phase!=Running
$ kubectl get all
$ kubectl get endpointslices -o name
