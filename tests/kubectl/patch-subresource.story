Patches of status and scale.
$ kubectl create deployment web --image=app:1 --replicas=0
$ kubectl rollout status deployment web --timeout=60s
$ kubectl patch deployment web --subresource=scale --type=merge -p '{"spec":{"replicas":2}}'
$ kubectl rollout status deployment web --timeout=60s
$ kubectl get deployment web
$ kubectl create service loadbalancer web --tcp=80 --dry-run=client -o yaml
$ kubectl create poddisruptionbudget quiet --selector=app=nothing --min-available=1
$ kubectl create persistentvolumeclaim quiet
$ kubectl create ingress web --default-backend=web:80
$ kubectl patch ingress web --subresource=status --type=merge -p '{"status":{"loadBalancer":{"ingress":[{"hostname":"a.example.org"}]}}}'
$ kubectl patch ingress web --subresource=status --type=merge -p '{"spec":{"ingressClassName":"ignored"}}'
$ kubectl get ingress web
