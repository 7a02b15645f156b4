# Two programs, two accounts, and nothing that either does not need. Control has no use for the key and sees no snapshot: what it
# hands to a runner it seals for an age recipient. The runner opens, but can't read the key that mints keys. Neither may change the database, the bucket or the KMS key.
resource "google_service_account" "control" {
  project      = var.project
  account_id   = "${var.name}-control"
  display_name = "Mooring control"
}

resource "google_service_account" "runner" {
  project      = var.project
  account_id   = "${var.name}-runner"
  display_name = "Mooring runner"
}

# Firestore has no permissions below a database, so the condition names ours and shuts out every other one.
resource "google_project_iam_member" "database" {
  for_each = {
    control = google_service_account.control.member
    runner  = google_service_account.runner.member
  }

  project = var.project
  role    = "roles/datastore.user"
  member  = each.value

  condition {
    title      = "only the database ${google_firestore_database.mooring.name}"
    expression = "resource.name == \"projects/${var.project}/databases/${google_firestore_database.mooring.name}\""
  }
}

resource "google_kms_crypto_key_iam_member" "runner_seals" {
  crypto_key_id = google_kms_crypto_key.sessions.id
  role          = "roles/cloudkms.cryptoKeyEncrypter"
  member        = google_service_account.runner.member
}

resource "google_kms_crypto_key_iam_member" "runner_opens" {
  crypto_key_id = google_kms_crypto_key.sessions.id
  role          = "roles/cloudkms.cryptoKeyDecrypter"
  member        = google_service_account.runner.member
}

resource "google_storage_bucket_iam_member" "runner_snapshots" {
  bucket = google_storage_bucket.snapshots.name
  role   = "roles/storage.objectUser"
  member = google_service_account.runner.member
}

resource "google_secret_manager_secret_iam_member" "control_reads_bootstrap" {
  project   = var.project
  secret_id = google_secret_manager_secret.bootstrap.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.control.member
}

resource "google_secret_manager_secret_iam_member" "control_reads_pepper" {
  project   = var.project
  secret_id = google_secret_manager_secret.pepper.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.control.member
}

# Messages and events: the runner writes them, control serves them, and the other way round.
resource "google_secret_manager_secret_iam_member" "reads_content" {
  for_each = {
    control = google_service_account.control.member
    runner  = google_service_account.runner.member
  }

  project   = var.project
  secret_id = google_secret_manager_secret.content.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = each.value
}

# What opens an import, and the passphrases of jobs.
resource "google_secret_manager_secret_iam_member" "runner_reads_inbound" {
  project   = var.project
  secret_id = google_secret_manager_secret.inbound.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.runner.member
}

# An import waits for a runner under imports/, an export for whoever asked under exports/: sealed, and gone within a day.
# Snapshots are beside them and stay out of reach; the second half of the condition is what a listing is judged by.
resource "google_storage_bucket_iam_member" "control_transfers" {
  bucket = google_storage_bucket.snapshots.name
  role   = "roles/storage.objectUser"
  member = google_service_account.control.member

  condition {
    title = "imports and exports only"
    expression = join(" || ", flatten([for prefix in ["imports/", "exports/"] : [
      "resource.name.startsWith(\"projects/_/buckets/${google_storage_bucket.snapshots.name}/objects/${prefix}\")",
      "api.getAttribute(\"storage.googleapis.com/objectListPrefix\", \"\").startsWith(\"${prefix}\")",
    ]]))
  }
}
