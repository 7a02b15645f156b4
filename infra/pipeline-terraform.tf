# The pipeline for Terraform itself. Its account can do nearly everything in the project, which is why a person approves
# each run; it exists only where a state bucket and a repository are named.
locals {
  _terraform_pipeline = var.repository != null && var.state_bucket != null

  _terraform_roles = [
    "roles/artifactregistry.admin",
    "roles/cloudbuild.builds.editor",
    "roles/cloudkms.admin",
    "roles/compute.networkAdmin",
    "roles/datastore.owner",
    "roles/iam.serviceAccountAdmin",
    "roles/iam.serviceAccountUser",
    "roles/logging.configWriter",
    "roles/logging.logWriter",
    "roles/monitoring.admin",
    "roles/resourcemanager.projectIamAdmin",
    "roles/run.admin",
    "roles/secretmanager.admin",
    "roles/serviceusage.serviceUsageAdmin",
    "roles/storage.admin",
  ]
}

resource "google_service_account" "terraform" {
  count = local._terraform_pipeline ? 1 : 0

  project      = var.project
  account_id   = "${var.name}-terraform"
  display_name = "Mooring Terraform pipeline"
}

resource "google_project_iam_member" "terraform" {
  for_each = local._terraform_pipeline ? toset(local._terraform_roles) : toset([])

  project = var.project
  role    = each.value
  member  = google_service_account.terraform[0].member
}

resource "google_cloudbuild_trigger" "terraform" {
  count = local._terraform_pipeline ? 1 : 0

  project         = var.project
  location        = split("/", var.repository)[3]
  name            = "${var.name}-terraform"
  description     = "Applies infra/ as pushed to ${var.branch}, once a person has approved it."
  service_account = google_service_account.terraform[0].id
  filename        = "cloudbuild.terraform.yaml"
  included_files  = ["infra/*.tf", "infra/*.tfvars", "infra/*.json", "infra/deploy.sh", "cloudbuild.terraform.yaml"]

  approval_config {
    approval_required = true
  }

  repository_event_config {
    repository = var.repository
    push {
      branch = "^${replace(var.branch, ".", "\\.")}$"
    }
  }

  substitutions = {
    _STATE_BUCKET    = var.state_bucket
    _TERRAFORM_IMAGE = var.step_images.terraform
  }
}
