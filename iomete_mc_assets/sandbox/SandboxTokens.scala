package iomete.sandbox

import java.nio.charset.StandardCharsets.UTF_8
import java.security.MessageDigest
import javax.security.sasl.AuthenticationException
import org.apache.hive.service.auth.PasswdAuthenticationProvider

/** Opens the sandbox's Thrift server to one token, as IOMETE's does: any user, the token as password. */
class SandboxTokens extends PasswdAuthenticationProvider {
  private val token = Option(System.getenv("SANDBOX_TOKEN")).filter(_.nonEmpty)

  override def Authenticate(user: String, password: String): Unit = {
    val given = Option(password).getOrElse("").getBytes(UTF_8)
    if (!token.exists(t => MessageDigest.isEqual(t.getBytes(UTF_8), given)))
      throw new AuthenticationException("wrong token for " + user)
  }
}
