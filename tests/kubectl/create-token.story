Tokens of a service account.
$ kubectl create serviceaccount robot
$ kubectl create token robot
$ kubectl create token robot --duration=10m --audience=example.org
$ kubectl create token robot --duration=1s
$ kubectl create token absent
$ TOKEN=$(kubectl create token robot) && kubectl --token=$TOKEN auth whoami --kubeconfig=/dev/null --server=$(kubectl config view -o jsonpath='{.clusters[0].cluster.server}') --insecure-skip-tls-verify | grep -v '\[UID\]\|JTI\|^Extra'
