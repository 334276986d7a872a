Definitions with mistakes.
$ kubectl apply -f - <<'EOF'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: wrong.refused.example.org}
spec:
  group: refused.example.org
  scope: Namespaced
  names: {plural: rights, singular: right, kind: Right}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
EOF
$ kubectl apply -f - <<'EOF'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: rights.refused.example.org}
spec:
  group: refused.example.org
  scope: Namespaced
  names: {plural: rights, singular: right, kind: Right}
  versions:
  - {name: v1, served: true, storage: false, schema: {openAPIV3Schema: {type: object}}}
EOF
$ kubectl apply -f - <<'EOF'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: rights.refused.example.org}
spec:
  group: refused.example.org
  scope: Namespaced
  names: {plural: rights, singular: right, kind: Right}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            properties: {a: {type: strange}}
            x-kubernetes-validations: [{rule: "self.nothing > 1"}]
EOF
$ kubectl apply -f - <<'EOF'
apiVersion: refused.example.org/v1
kind: Right
metadata: {name: a}
EOF
