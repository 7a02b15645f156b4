# One reserved address for all that runners send, for networks that must know their callers. Everything here exists only
# with fixed_address: without it runners leave from Google's shared addresses and need no network of ours.
resource "google_compute_network" "egress" {
  count = var.fixed_address ? 1 : 0

  project                 = var.project
  name                    = "${var.name}-egress"
  auto_create_subnetworks = false

  depends_on = [google_project_service.api]
}

# Cloud Run takes about two addresses per instance and keeps them for up to 20 minutes; it wants a /26 at least.
resource "google_compute_subnetwork" "egress" {
  count = var.fixed_address ? 1 : 0

  project                  = var.project
  name                     = "${var.name}-egress"
  region                   = var.region
  network                  = google_compute_network.egress[0].id
  ip_cidr_range            = "10.64.0.0/24"
  private_ip_google_access = true
}

resource "google_compute_address" "egress" {
  count = var.fixed_address ? 1 : 0

  project = var.project
  name    = "${var.name}-egress"
  region  = var.region
}

resource "google_compute_router" "egress" {
  count = var.fixed_address ? 1 : 0

  project = var.project
  name    = "${var.name}-egress"
  region  = var.region
  network = google_compute_network.egress[0].id
}

resource "google_compute_router_nat" "egress" {
  count = var.fixed_address ? 1 : 0

  project = var.project
  name    = "${var.name}-egress"
  region  = var.region
  router  = google_compute_router.egress[0].name

  nat_ip_allocate_option             = "MANUAL_ONLY"
  nat_ips                            = [google_compute_address.egress[0].self_link]
  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"

  subnetwork {
    name                    = google_compute_subnetwork.egress[0].id
    source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
  }

  # One socket is one port. All sessions of an instance go to few addresses, so ports, not bandwidth, run out first:
  # twice the capacity, as a power of two, within what one address has.
  enable_dynamic_port_allocation      = true
  enable_endpoint_independent_mapping = false
  min_ports_per_vm                    = 1024
  max_ports_per_vm                    = 16384

  # Far above the 30 s keep-alive of a WhatsApp socket, so that a quiet socket is never dropped by the NAT.
  tcp_established_idle_timeout_sec = 1200
}
