A ValidatingAdmissionPolicy refuses what it says.
$ kubectl apply -f - <<'EOF'
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: story-policy}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: policy}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}]
  validations: [{expression: "!has(object.data) || !('forbidden' in object.data)", message: "forbidden is forbidden"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: story-policy}
spec: {policyName: story-policy, validationActions: [Deny]}
EOF
$ until kubectl create configmap probe --from-literal=forbidden=1 --dry-run=server 2>&1 | grep -q denied; do sleep 0.2; done
$ kubectl create configmap bad --from-literal=forbidden=1
$ kubectl create configmap good --from-literal=allowed=1
$ kubectl patch configmap good -p '{"data":{"forbidden":"1"}}'
$ kubectl delete validatingadmissionpolicybinding,validatingadmissionpolicy story-policy
