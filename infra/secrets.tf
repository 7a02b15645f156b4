# The bootstrap admin key: it makes the first tenant and the first API keys. It is written through a write-only argument
# from an ephemeral value, so it is in neither the state nor a plan; raise the version number to replace it.
ephemeral "random_password" "bootstrap" {
  length  = 43
  special = false
}

resource "google_secret_manager_secret" "bootstrap" {
  project   = var.project
  secret_id = "${var.name}-bootstrap-key"

  replication {
    auto {}
  }

  depends_on = [google_project_service.api]
}

resource "google_secret_manager_secret_version" "bootstrap" {
  secret                 = google_secret_manager_secret.bootstrap.id
  secret_data_wo         = "moor_${ephemeral.random_password.bootstrap.result}"
  secret_data_wo_version = 1
}

# What marks API keys (docs/security.md): runners write to the same database, and this is what they lack. A new version makes
# every key invalid but the bootstrap key, so it is raised only when the pepper has leaked.
ephemeral "random_password" "pepper" {
  length  = 43
  special = false
}

resource "google_secret_manager_secret" "pepper" {
  project   = var.project
  secret_id = "${var.name}-key-pepper"

  replication {
    auto {}
  }

  depends_on = [google_project_service.api]
}

resource "google_secret_manager_secret_version" "pepper" {
  secret                 = google_secret_manager_secret.pepper.id
  secret_data_wo         = ephemeral.random_password.pepper.result
  secret_data_wo_version = 1
}

# What messages and events are sealed with (docs/security.md): both programs read and write them, and the database alone tells
# nobody anything. A lost secret is lost history; another one goes in front of this one, with a comma between.
ephemeral "random_password" "content" {
  length  = 43
  special = false
}

resource "google_secret_manager_secret" "content" {
  project   = var.project
  secret_id = "${var.name}-content-secret"

  replication {
    auto {}
  }

  depends_on = [google_project_service.api]
}

resource "google_secret_manager_secret_version" "content" {
  secret                 = google_secret_manager_secret.content.id
  secret_data_wo         = ephemeral.random_password.content.result
  secret_data_wo_version = 1
}

# What opens imports, and the passphrases that go with jobs (docs/security.md): an age identity, which only runners may read.
# Terraform can't make one; whoever deploys first does (docs/deploy.md) and keeps it, since the state has no copy either.
resource "google_secret_manager_secret" "inbound" {
  project   = var.project
  secret_id = "${var.name}-inbound-identity"

  replication {
    auto {}
  }

  depends_on = [google_project_service.api]
}

# Without an identity runners say at their start what is missing. Later applies need none: only another version writes again.
resource "google_secret_manager_secret_version" "inbound" {
  secret                 = google_secret_manager_secret.inbound.id
  secret_data_wo         = coalesce(var.inbound_identity, "AGE-SECRET-KEY- was not given to the apply that made this version")
  secret_data_wo_version = var.inbound_version
}
