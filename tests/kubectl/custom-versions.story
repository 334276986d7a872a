A custom kind of two versions.
$ kubectl apply -f - <<'EOF'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: engines.versions.example.org}
spec:
  group: versions.example.org
  scope: Cluster
  names: {plural: engines, singular: engine, kind: Engine}
  versions:
  - {name: v1beta1, served: true, storage: false, deprecated: true, deprecationWarning: "use v1", schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
EOF
$ kubectl wait --for=condition=Established crd/engines.versions.example.org --timeout=30s
$ until kubectl get engines >/dev/null 2>&1; do sleep 0.2; done
$ kubectl create -f - <<'EOF'
apiVersion: versions.example.org/v1beta1
kind: Engine
metadata: {name: story}
spec: {power: 3}
EOF
$ kubectl get engine story -o yaml --show-managed-fields
$ kubectl get engines.v1beta1.versions.example.org story -o jsonpath='{.apiVersion}'
$ kubectl api-resources --api-group=versions.example.org
$ kubectl delete crd engines.versions.example.org
$ kubectl get engine.versions.example.org story
