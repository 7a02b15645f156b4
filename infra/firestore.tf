# The list of indexes is kept once, in the format of the Firebase tools, for Terraform, the emulator and the tests.
locals {
  _firestore = jsondecode(file("${path.module}/firestore.indexes.json"))

  _indexes = {
    for index in local._firestore.indexes :
    join("~", concat([index.collectionGroup], [
      for field in index.fields : "${field.fieldPath}.${lower(try(field.order, field.arrayConfig))}"
    ])) => index
  }

  _fields = {
    for field in local._firestore.fieldOverrides : "${field.collectionGroup}~${field.fieldPath}" => field
  }
}

resource "google_firestore_database" "mooring" {
  project          = var.project
  name             = coalesce(var.firestore_database, var.name)
  location_id      = coalesce(var.firestore_location, var.region)
  type             = "FIRESTORE_NATIVE"
  database_edition = "STANDARD"

  # The platform's own default, said aloud: every claim and append is a precondition write, so that nobody waits
  # for another's read lock; optimistic mode would only matter to transactions, which the hot path does not use.
  concurrency_mode = "PESSIMISTIC"

  # Seven days in which any minute can be read back; see docs/disaster-recovery.md.
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"

  delete_protection_state = "DELETE_PROTECTION_ENABLED"
  deletion_policy         = "ABANDON"

  depends_on = [google_project_service.api]

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_firestore_backup_schedule" "daily" {
  project   = var.project
  database  = google_firestore_database.mooring.name
  retention = "${30 * 24 * 60 * 60}s"

  daily_recurrence {}
}

resource "google_firestore_index" "composite" {
  for_each = local._indexes

  project     = var.project
  database    = google_firestore_database.mooring.name
  collection  = each.value.collectionGroup
  query_scope = try(each.value.queryScope, "COLLECTION")

  dynamic "fields" {
    for_each = each.value.fields
    content {
      field_path   = fields.value.fieldPath
      order        = try(fields.value.order, null)
      array_config = try(fields.value.arrayConfig, null)
    }
  }
}

# Three reasons to name a field: it is what the document expires by, it is too large to be worth an index, or it grows
# with time and would hold the whole collection to the speed of one index tablet (about 500 writes a second).
resource "google_firestore_field" "override" {
  for_each = local._fields

  project    = var.project
  database   = google_firestore_database.mooring.name
  collection = each.value.collectionGroup
  field      = each.value.fieldPath

  dynamic "ttl_config" {
    for_each = try(each.value.ttl, false) ? [true] : []
    content {}
  }

  index_config {
    dynamic "indexes" {
      for_each = try(each.value.indexes, [])
      content {
        order        = try(indexes.value.order, null)
        array_config = try(indexes.value.arrayConfig, null)
        query_scope  = try(indexes.value.queryScope, "COLLECTION")
      }
    }
  }
}
