A custom kind: its table, defaults, pruning, rules, scale and status.
$ kubectl apply -f - <<'EOF'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.custom.example.org}
spec:
  group: custom.example.org
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    - {name: Colour, type: string, jsonPath: .spec.colour, priority: 1}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            properties:
              size: {type: integer, minimum: 1, maximum: 10}
              colour: {type: string, enum: [red, blue], default: red}
              replicas: {type: integer}
              tags:
                type: array
                x-kubernetes-list-type: set
                items: {type: string}
              ports:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items: {type: object, required: [name], properties: {name: {type: string}, port: {type: integer}}}
            x-kubernetes-validations:
            - {rule: "self.colour != 'blue' || self.size < 5", message: blue ones are small}
          status:
            type: object
            properties: {replicas: {type: integer}, ready: {type: boolean}}
EOF
$ kubectl wait --for=condition=Established crd/widgets.custom.example.org --timeout=30s
$ until kubectl get widgets >/dev/null 2>&1; do sleep 0.2; done
$ kubectl apply -f - <<'EOF'
apiVersion: custom.example.org/v1
kind: Widget
metadata: {name: one}
spec: {size: 3, tags: [a, b], ports: [{name: http, port: 80}]}
EOF
$ kubectl get widgets
$ kubectl get wd -o wide
$ kubectl get widgets.v1.custom.example.org one -o yaml
$ kubectl apply --server-side --field-manager=other -f - <<'EOF'
apiVersion: custom.example.org/v1
kind: Widget
metadata: {name: one}
spec: {tags: [c], ports: [{name: dns, port: 53}]}
EOF
$ kubectl apply -f - 2>&1 <<'EOF' | LC_ALL=C sort
apiVersion: custom.example.org/v1
kind: Widget
metadata: {name: two}
spec: {size: 30, colour: green, tags: [a, a]}
EOF
$ kubectl apply -f - <<'EOF'
apiVersion: custom.example.org/v1
kind: Widget
metadata: {name: two}
spec: {size: 7, colour: blue}
EOF
$ kubectl apply -f - <<'EOF'
apiVersion: custom.example.org/v1
kind: Widget
metadata: {name: two}
spec: {colour: blue, shape: round}
EOF
$ kubectl apply -f - <<'EOF'
apiVersion: custom.example.org/v1
kind: Widget
metadata: {name: two}
spec: {size: big}
EOF
$ kubectl scale widget one --replicas=3
$ kubectl patch widget one --type=merge --subresource=status -p '{"status":{"ready":true,"replicas":3}}'
$ kubectl patch widget one --type=strategic -p '{"spec":{"size":4}}'
$ kubectl patch widget one --type=json -p '[{"op":"add","path":"/spec/tags/-","value":"a"}]'
$ kubectl describe widget one
$ kubectl get widget one -o jsonpath='{.spec.replicas} {.status.ready}'
$ kubectl delete widget one
