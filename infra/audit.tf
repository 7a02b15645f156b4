# Who read what: Google writes no such line unless it is told to. Each of these is the only setting of its service, so one
# that was made by hand is replaced. The lines are kept for 30 days, in the log bucket _Default.
resource "google_project_iam_audit_config" "data_access" {
  for_each = {
    # Every wrapping and unwrapping of a data key: a session that is opened is one line.
    cloudkms = []

    secretmanager = []

    # Firestore goes by Datastore's name here (https://cloud.google.com/firestore/docs/audit-logging). The two programs are
    # left out: their thousands of operations an hour would cost more as lines than as operations. What stays is anybody else.
    datastore = [google_service_account.control.member, google_service_account.runner.member]
  }

  project = var.project
  service = "${each.key}.googleapis.com"

  dynamic "audit_log_config" {
    for_each = toset(["DATA_READ", "DATA_WRITE"])
    content {
      log_type         = audit_log_config.value
      exempted_members = each.value
    }
  }

  depends_on = [google_project_service.api]
}
