apply -k makes what a kustomization says.
$ cat > kustomization.yaml <<'EOF'
namePrefix: my-
labels: [{pairs: {app: web}}]
configMapGenerator: [{name: settings, literals: [a=1]}]
generatorOptions: {disableNameSuffixHash: true}
EOF
$ kubectl apply -k .
$ kubectl get -k . -o name
$ kubectl delete -k .
