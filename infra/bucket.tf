# Snapshots: immutable objects, written once and never changed. The runner sweeps what it no longer needs (the last five
# of a session and every labelled one for 30 days stay), because only it knows which object a session still stands on.
resource "google_storage_bucket" "snapshots" {
  project  = var.project
  name     = "${var.project}-${var.name}-snapshots"
  location = var.region

  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false

  # What was deleted by mistake can be restored for this long; see docs/disaster-recovery.md.
  soft_delete_policy {
    retention_duration_seconds = var.snapshots_soft_delete_days * 24 * 60 * 60
  }

  # The label that the bucket understands is an object's custom time. The runner sets it on a labelled snapshot that has
  # been let go of (never on one that a session stands on), and 30 days later the bucket removes the object even when
  # no runner lives to do it. An age rule would be wrong: the only snapshot of a quiet session may be months old.
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_custom_time = 30
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 1
    }
  }

  depends_on = [google_project_service.api]

  lifecycle {
    prevent_destroy = true
  }
}
