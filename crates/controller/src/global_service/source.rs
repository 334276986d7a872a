//! Where a GlobalService takes its endpoints from, and what has to be watched for it.

use api::{EndpointSource, GlobalService};

/// An object of the service's namespace, in every member that has it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    /// A Service.
    Service(&'a str),
    /// The load balancer of a Service, whatever else leads to it.
    Balancer(&'a str),
    /// An Ingress.
    Ingress(&'a str),
    /// A Gateway.
    Gateway(&'a str),
    /// An HTTPRoute.
    Route(&'a str),
}

/// Kinds that are watched besides Services and EndpointSlices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kinds {
    pub(super) ingresses: bool,
    pub(super) gateways: bool,
    pub(super) routes: bool,
    /// Nodes, for Services of type NodePort.
    pub(super) nodes: bool,
}

impl<'a> Source<'a> {
    /// The source of a service; none where endpoints are written down.
    pub(super) fn of(service: &'a GlobalService) -> Option<Self> {
        let EndpointSource {
            service,
            ingress,
            gateway,
            http_route,
            fixed: _,
        } = &service.spec.endpoints;
        let service = service.as_ref().map(|it| Self::Service(&it.name));
        let ingress = ingress.as_ref().map(|it| Self::Ingress(&it.name));
        let gateway = gateway.as_ref().map(|it| Self::Gateway(&it.name));
        let route = http_route.as_ref().map(|it| Self::Route(&it.name));
        service.or(ingress).or(gateway).or(route)
    }

    /// Whether it follows what is in no namespace of its own.
    pub(super) fn is_of_member(self) -> bool {
        matches!(self, Self::Service(_) | Self::Route(_))
    }
}

impl Kinds {
    /// What is watched in the namespace, and what once in the member.
    pub(super) fn parted(self) -> (Self, Self) {
        let own = Self {
            nodes: false,
            ..self
        };
        let of_member = Self {
            nodes: self.nodes,
            routes: self.routes,
            ..Self::default()
        };
        (own, of_member)
    }

    /// Both.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            ingresses: self.ingresses || other.ingresses,
            gateways: self.gateways || other.gateways,
            routes: self.routes || other.routes,
            nodes: self.nodes || other.nodes,
        }
    }

    /// What a source wants besides.
    pub(super) fn add(&mut self, source: Source<'_>) {
        match source {
            Source::Service(_) => self.nodes = true,
            // Services are watched anyway.
            Source::Balancer(_) => {}
            Source::Ingress(_) => self.ingresses = true,
            Source::Gateway(_) => self.gateways = true,
            Source::Route(_) => (self.gateways, self.routes) = (true, true),
        }
    }
}
