explain tells of a custom kind.
$ kubectl apply -f - <<'EOF'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.explain.example.org}
spec:
  group: explain.example.org
  scope: Namespaced
  names: {plural: gadgets, singular: gadget, kind: Gadget}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        description: A gadget does a thing.
        required: [spec]
        properties:
          spec:
            type: object
            required: [size]
            properties:
              size: {type: integer, minimum: 1, description: How big it is.}
              colour: {type: string, enum: [red, blue], default: red, description: What it looks like.}
              parts: {type: array, items: {type: object, properties: {name: {type: string}}}}
EOF
$ kubectl wait --for=condition=Established crd/gadgets.explain.example.org --timeout=30s
$ until kubectl explain gadget.spec.size >/dev/null 2>&1; do sleep 0.2; done
$ kubectl explain gadget
$ kubectl explain gadget.spec
$ kubectl explain gadget.spec.colour
$ kubectl explain gadget --recursive
$ kubectl delete crd gadgets.explain.example.org
