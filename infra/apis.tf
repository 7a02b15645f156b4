locals {
  _apis = [
    "artifactregistry", "cloudbuild", "cloudkms", "firestore", "iam", "logging", "monitoring", "pubsub",
    "run", "secretmanager", "storage",
  ]
}

# APIs stay switched on when Mooring is destroyed: something else in the project may use them by then.
resource "google_project_service" "api" {
  for_each = toset(concat(local._apis, var.fixed_address ? ["compute"] : []))

  project            = var.project
  service            = "${each.value}.googleapis.com"
  disable_on_destroy = false
}
