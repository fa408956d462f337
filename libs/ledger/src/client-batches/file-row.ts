/** A file that a client uploaded, or that a batch gave back, whole in the blob store. Instants are milliseconds since 1970. */
export interface ClientFile {
  id: string;
  tenantId: string;
  purpose: string;
  fileName: string;
  bytes: number;
  createdAt: number;
  /** Null: it is kept until it is deleted. */
  expiresAt: number | null;
}

/** The columns of {@link ClientFile}, for a SELECT or RETURNING on `client_files`. */
export const fileColumns = `id, tenant_id AS "tenantId", purpose, file_name AS "fileName", bytes,
  created_at AS "createdAt", expires_at AS "expiresAt"`;

/** Which rows of `client_files` a client may see. */
export const fileIsVisible = `status = 'stored' AND (expires_at IS NULL OR expires_at > now())`;
