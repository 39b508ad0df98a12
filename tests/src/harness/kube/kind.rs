//! Where the objects of a kind are found.

/// A kind of objects as paths name it, and for some the namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind<'a> {
    /// Group and version, such as `apollo.azure.com/v1alpha1`; `v1` for the core group.
    pub api_version: &'a str,
    /// The plural name, such as `deviceprocesses`.
    pub plural: &'a str,
    /// `None`: of the cluster, or (to list them) of all namespaces.
    pub namespace: Option<&'a str>,
}

impl<'a> Kind<'a> {
    /// `devices.apollo.azure.com`.
    pub const DEVICES: Kind<'static> = Kind::of("apollo.azure.com/v1alpha1", "devices");
    /// `deviceprocesses.apollo.azure.com`.
    pub const DEVICE_PROCESSES: Kind<'static> = Kind::of("apollo.azure.com/v1alpha1", "deviceprocesses");
    /// CustomResourceDefinitions.
    pub const CRDS: Kind<'static> = Kind::of("apiextensions.k8s.io/v1", "customresourcedefinitions");
    /// Namespaces.
    pub const NAMESPACES: Kind<'static> = Kind::of("v1", "namespaces");
    /// Leases of `coordination.k8s.io`.
    pub const LEASES: Kind<'static> = Kind::of("coordination.k8s.io/v1", "leases");
    /// Events of the core group.
    pub const CORE_EVENTS: Kind<'static> = Kind::of("v1", "events");
    /// Events of `events.k8s.io`. A cluster stores them and those of the core group as the same objects; the tests'
    /// API server keeps them apart.
    pub const EVENTS: Kind<'static> = Kind::of("events.k8s.io/v1", "events");

    /// A kind by its group and version, and its plural name.
    pub const fn of(api_version: &'a str, plural: &'a str) -> Self {
        Self {
            api_version,
            plural,
            namespace: None,
        }
    }

    /// Its objects in a namespace.
    #[must_use]
    pub const fn within(self, namespace: &'a str) -> Self {
        Self {
            namespace: Some(namespace),
            ..self
        }
    }

    /// The path of all its objects, or of the one called `name`, or of a subresource of that.
    pub(super) fn path(&self, name: Option<&str>, subresource: Option<&str>) -> String {
        // The core group is older than groups are, and has a root of its own.
        let root = if self.api_version.contains('/') {
            "apis"
        } else {
            "api"
        };
        let mut path = format!("/{root}/{}", self.api_version);
        if let Some(namespace) = self.namespace {
            path = format!("{path}/namespaces/{namespace}");
        }
        for part in [Some(self.plural), name, subresource].into_iter().flatten() {
            path = format!("{path}/{part}");
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn paths_are_those_of_the_api() {
        let process = Kind::DEVICE_PROCESSES.within("default");
        assert_eq!(
            process.path(Some("p"), Some("status")),
            "/apis/apollo.azure.com/v1alpha1/namespaces/default/deviceprocesses/p/status"
        );
        assert_eq!(Kind::NAMESPACES.path(Some("n"), None), "/api/v1/namespaces/n");
        assert_eq!(
            Kind::DEVICES.path(None, None),
            "/apis/apollo.azure.com/v1alpha1/devices"
        );
    }
}
